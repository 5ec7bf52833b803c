"""Personal data of France and the EU: recognised by compiled kernels over UTF-8 bytes, checked, then replaced."""
