"""Why an answer is as it is: its critical chain, its busiest array, what a change would buy, which limits are short."""
