from lazulite.core.addresses import for_links


def test_links_on_this_machine_open_without_our_authority() -> None:
    assert for_links("https://localhost:8443", "http://localhost:8080") == "http://localhost:8080"
    assert for_links("https://127.0.0.1:8443", "http://localhost:8080") == "http://localhost:8080"
    assert for_links("https://[::1]:8443", "http://localhost:8080") == "http://localhost:8080"


def test_a_name_that_others_know_is_kept() -> None:
    assert for_links("https://ml.example:8443", "http://localhost:8080") == "https://ml.example:8443"
