"""Tests of the operations: each against the reference, and every refusal."""
