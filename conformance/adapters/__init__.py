"""Adapters: one module a runtime; the module name is the word before the colon."""
