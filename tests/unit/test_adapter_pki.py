"""The gateway's certificates, without a cluster."""

import re
from dataclasses import replace

import pytest
from cryptography import x509

from agentcorps.adapters.pki import BrokenCertificateError, ServingCertificate, issue, renewed

NOW = 1_800_000_000.0
DAY = 86_400.0
NAMES = ("gate.example.svc", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def stored() -> ServingCertificate:
    """Return a certificate made at NOW."""
    return issue(NAMES, NOW)


def test_names_and_purpose(stored: ServingCertificate) -> None:
    """The certificate bears names and addresses, serves TLS, and is no CA itself."""
    names = stored.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    limits = stored.leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert {str(name.value) for name in names} == set(NAMES)
    assert not limits.ca


def test_keys_stay_out_of_sight(stored: ServingCertificate) -> None:
    """Neither key shows when the certificate is printed."""
    assert not re.search("PRIVATE", repr(stored))


@pytest.mark.parametrize("days", [0, 100, 240])
def test_a_good_one_is_kept(stored: ServingCertificate, days: float) -> None:
    """While more than a third of its life is left, nothing is renewed."""
    assert renewed(stored, NAMES, NOW + days * DAY) is None


@pytest.mark.parametrize("days", [250, 365, 500])
def test_an_old_one_is_renewed(stored: ServingCertificate, days: float) -> None:
    """With less than a third of its life left, or none, it is replaced under the same CA."""
    new = renewed(stored, NAMES, NOW + days * DAY)
    assert new is not None
    assert new.ca_pem == stored.ca_pem
    assert new.not_after > stored.not_after


def test_other_names_are_a_reason(stored: ServingCertificate) -> None:
    """When the names change, the certificate is replaced under the same CA."""
    new = renewed(stored, ("elsewhere.svc",), NOW)
    assert new is not None
    assert new.ca_pem == stored.ca_pem


def test_an_old_ca_is_renewed_with_its_key(stored: ServingCertificate) -> None:
    """What a renewed CA issues is still accepted by those who hold the earlier CA certificate."""
    new = renewed(stored, NAMES, NOW + 3000 * DAY)
    assert new is not None
    assert new.ca_pem != stored.ca_pem
    new.leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(stored.ca_pem.encode()))


@pytest.mark.parametrize("part", ["ca_pem", "ca_key_pem", "chain_pem", "key_pem"])
@pytest.mark.parametrize("damage", ["nonsense", "foreign"])
def test_damage_is_noticed(stored: ServingCertificate, part: str, damage: str) -> None:
    """A part that is unreadable or belongs to another certificate is refused."""
    value = "not PEM" if damage == "nonsense" else getattr(issue(NAMES, NOW), part)
    with pytest.raises(BrokenCertificateError):
        renewed(replace(stored, **{part: value}), NAMES, NOW)


def test_the_context_is_modern(stored: ServingCertificate) -> None:
    """The server's context takes the certificate and speaks no TLS before 1.2."""
    assert stored.ssl_context().minimum_version.name == "TLSv1_2"
