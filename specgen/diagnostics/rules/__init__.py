"""Every diagnostic that specgen can print: title, message, explanation, a wrong and a right example."""
