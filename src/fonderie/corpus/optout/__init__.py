"""Reservations of rights against text and data mining: what sites and pages say, kept as dated evidence."""
