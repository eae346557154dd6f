"""What is counted of tables, as documents: rows and quantities, formulas, products, differences; each as
plain data first (`describe_...`), of which text, Markdown and CSV are renderings.

May not know files, variants or overrides: a program and its ledger are given.
"""
