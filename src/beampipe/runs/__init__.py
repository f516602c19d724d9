"""The front door's verbs: plan, execute, result; the embedded cluster; progress."""
