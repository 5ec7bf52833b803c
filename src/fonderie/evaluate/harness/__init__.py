"""lm-eval's tasks on our models: in this process, without a server, from a local folder of tasks and data."""
