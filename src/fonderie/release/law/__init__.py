"""What the law asks for: public summary, documentation form, copyright policy, and who publishes."""
