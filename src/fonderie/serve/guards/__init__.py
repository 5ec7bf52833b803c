"""Guards: what is looked for in questions and answers, and what happens when it is found."""
