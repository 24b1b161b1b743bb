"""What is found out with questions and answers: one run, many, a comparison, an explanation."""
