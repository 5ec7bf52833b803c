"""Engines of others behind our interface: vLLM and llama.cpp, asked over HTTP with the tokens of our template."""
