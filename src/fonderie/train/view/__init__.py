"""A training in view: its speed beside this machine's peak, its energy, event files for TensorBoard, times."""
