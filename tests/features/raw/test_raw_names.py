"""Files of a folder of raw, as sentences name them."""

from features.raw import raw_names


def test_a_forged_line_in_the_name_of_a_file_stays_in_its_sentence():
    name = "a.csv\n12:00:00 champion: version 9 promoted\x1b[2J\u202e.txt"
    for said in (raw_names.not_read([name]), raw_names.not_read_beside([name])):
        assert r"a.csv\n12:00:00 champion: version 9 promoted\x1b[2J\u202e.txt" in said
        assert said.isprintable()


def test_three_names_are_told_and_the_others_counted():
    assert raw_names.some(["a", "b", "c"]) == "a, b, c"
    assert raw_names.some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert raw_names.some(["\u4e2d\u6587 1.csv"]) == "\u4e2d\u6587 1.csv"
