"""The public service: engines that answer, and the HTTP interface in front of them."""
