"""The decoder: its sizes, its forward pass, generation, and conversion to Hugging Face Llama."""
