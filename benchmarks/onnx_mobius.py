"""The nearest peer: Microsoft's mobius (PyPI: mobius-onnx) building the graph of a config.json.

python benchmarks/onnx_mobius.py CONFIG_FOLDER OUTPUT_FOLDER
"""

import sys

from mobius import build

package = build(sys.argv[1], load_weights=False)
package.save(sys.argv[2], progress_bar=False, check_weights=False)
