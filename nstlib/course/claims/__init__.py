"""What the lessons state about their results, as assertions on the numbers that each sentence is about.

There is a module for each lesson and a function for each claim. A solved notebook calls them in collapsed cells; each
raises an ``AssertionError`` that shows the numbers.
"""
