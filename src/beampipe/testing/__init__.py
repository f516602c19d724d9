"""What a test of an analysis or of a new backend can use; nobody inside Beampipe imports it.

`batch_conformance` is what every dialect of a batch system must do; `fake_batch` has fake commands
for PATH. A conformance suite for providers of clusters will stand here too.
"""
