"""The first trial's edition of the plan: its claims, its rules, and what they are judged from."""
