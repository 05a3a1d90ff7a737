"""The tests: a package, so that they share the strategies and the outside truth below."""
