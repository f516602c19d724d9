from __future__ import annotations

import pytest

from beampipe.checks import Finding, render_findings


def test_a_finding_needs_a_known_status():
    with pytest.raises(ValueError, match="'good' is none of"):
        Finding("disk", "good", "2 GB free")


@pytest.mark.parametrize("status", ["warning", "error"])
def test_what_is_not_ok_needs_a_remedy(status):
    with pytest.raises(ValueError, match="no remedy"):
        Finding("disk", status, "2 GB free")


def test_findings_line_up():
    findings = [
        Finding("python", "ok", "3.11 on both sides"),
        Finding("proxy-lifetime", "error", "ended 2 h ago", "voms-proxy-init"),
    ]
    assert render_findings(iter(findings)).splitlines() == [
        "ok       python          3.11 on both sides",
        "error    proxy-lifetime  ended 2 h ago",
        "         fix: voms-proxy-init",
    ]


def test_nothing_found_is_nothing_said():
    assert render_findings([]) == ""
