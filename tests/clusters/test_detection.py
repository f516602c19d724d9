from __future__ import annotations

import pytest

from beampipe.clusters.detection import detect_site, detect_sites
from beampipe.errors import SiteUnknownError


def test_a_host_belongs_to_the_site_whose_pattern_fits(folders):
    found = detect_site("CMSLPC301.fnal.gov")
    assert (found.site, found.pattern) == ("lpc", "cmslpc*.fnal.gov")
    assert "cmslpc301.fnal.gov" in str(found)
    assert detect_site("lxplus9001.cern.ch").site == "lxplus"


def test_a_host_that_fits_nowhere_is_an_error_that_lists_the_sites(folders):
    assert detect_sites("laptop") == []
    with pytest.raises(SiteUnknownError, match="no site's `hosts` fit") as caught:
        detect_site("laptop")
    assert "slurm" in caught.value.known


def test_a_host_that_fits_twice_is_an_error_that_lists_both(folders):
    (folders["user"] / "mine.toml").write_text('like = "lpc"\nhosts = ["cmslpc3*"]')
    with pytest.raises(SiteUnknownError, match="several sites fit") as caught:
        detect_site("cmslpc301.fnal.gov")
    assert caught.value.known == ("lpc", "mine")
