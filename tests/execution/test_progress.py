import pickle

from beampipe.execution.progress import Progress, ignore


def test_progress_is_a_plain_value_and_may_be_ignored():
    progress = Progress("running", 1, 2, 0, 1, 2, 0, 1.0, 1.0, None, 0)
    assert progress.dashboard == ""
    assert pickle.loads(pickle.dumps(progress)) == progress
    assert ignore(progress) is None
