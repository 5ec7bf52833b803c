"""The commands of `fonderie`, one file each: its words, what it calls, what it prints."""
