from beampipe.execution.chunk_list import ChunkList


def test_chunks_come_back_in_their_order_and_without_copies(chunks_of, make_file_plan):
    one, other = make_file_plan(uuid="u"), make_file_plan(uuid="v")
    chunks = [*chunks_of(other)[1:], *chunks_of(one), chunks_of(other)[0]]
    packed = ChunkList(chunks)
    assert list(packed) == chunks
    assert {id(chunk.plan) for chunk in packed} == {id(one), id(other)}
    assert packed.keys() == [chunk.key[1:] for chunk in chunks]
    assert len(packed) == len(chunks)
    assert chunks[2] in packed
    assert chunks[2] not in ChunkList(chunks[:2])


def test_lists_are_joined_one_behind_the_other(chunks_of, make_file_plan):
    one, other = (chunks_of(make_file_plan(uuid=uuid)) for uuid in "uv")
    parts = [[other[3], one[0]], [], [one[2], other[1]]]
    joined = ChunkList.join([ChunkList(part) for part in parts])
    assert list(joined) == [chunk for part in parts for chunk in part]
    assert list(ChunkList.join([])) == []


def test_a_chunk_takes_a_few_bytes(make_file_plan):
    from beampipe.datasets.model import Chunk

    plan = make_file_plan(n=1000, used=1000)
    packed = ChunkList(Chunk(plan, k) for k in range(1000))
    assert len(packed.rows.data) == 3000
