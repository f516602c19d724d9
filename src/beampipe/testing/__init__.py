"""What a test of an analysis or of a new backend can use; nobody inside Beampipe imports it.

Empty for now. Conformance suites for providers and batch dialects, and fake batch commands, will
stand here when those rooms exist.
"""
