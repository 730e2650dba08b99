"""One experiment -> its run: the loop through mltrainer, its steps and its cost."""
