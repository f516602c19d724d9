import threading
import time

from beampipe.execution.exclusion import Exclusion


def test_who_is_alone_is_alone():
    exclusion = Exclusion()
    inside, worst, wrong = [0], [0], []

    def work(is_alone):
        for _ in range(50):
            with exclusion.alone() if is_alone else exclusion.together():
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                time.sleep(0)
                if is_alone and inside[0] != 1:
                    wrong.append(inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(i < 2,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong


def test_the_others_run_side_by_side_and_wait_for_who_wants_to_be_alone():
    exclusion = Exclusion()
    order = []
    both_in = threading.Barrier(2, timeout=120)
    may_end = threading.Event()

    def together(name):
        with exclusion.together():
            both_in.wait()
            may_end.wait(60)
            order.append(name)

    def alone():
        with exclusion.alone():
            order.append("alone")

    first = [threading.Thread(target=together, args=(n,)) for n in "ab"]
    for thread in first:
        thread.start()
    lonely = threading.Thread(target=alone)
    lonely.start()
    while not exclusion._waiting:
        time.sleep(0.01)
    late = threading.Thread(target=lambda: [exclusion.together().__enter__(), order.append("late")])
    late.start()
    may_end.set()
    for thread in (*first, lonely, late):
        thread.join(120)
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["alone", "late"]
