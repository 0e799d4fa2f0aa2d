from lazulite.cli.variables import Address, applied, client_variables, workspace_id

ADDRESS = Address(
    "https://localhost:8443", "http://localhost:8080", "/home/ana/.lazulite/tls/bundle.pem", "key", "token"
)


def test_clients_are_pointed_to_the_server() -> None:
    variables = client_variables(ADDRESS, {}).set
    assert variables["ARM_CLOUD_METADATA_URL"] == "http://localhost:8080/metadata/endpoints"
    assert variables["IDENTITY_ENDPOINT"] == "http://localhost:8080/msi/token"
    assert variables["IDENTITY_HEADER"] == "key"
    assert variables["REQUESTS_CA_BUNDLE"] == variables["SSL_CERT_FILE"] == ADDRESS.bundle
    assert variables["MLFLOW_TRACKING_URI"] == f"http://localhost:8080/mlflow/rest{workspace_id()}"
    assert variables["MLFLOW_TRACKING_TOKEN"] == "token"
    assert variables["AZURE_ML_DISABLE_ON_DISK_CACHE"] == "true"


def test_leftovers_of_real_azure_are_taken_away() -> None:
    before = {"AZURE_CLIENT_ID": "old", "AZURE_CLIENT_SECRET": "old", "PATH": "/bin"}
    after = applied(client_variables(ADDRESS, before), before)
    assert "AZURE_CLIENT_ID" not in after
    assert "AZURE_CLIENT_SECRET" not in after
    assert after["PATH"] == "/bin"


def test_without_a_proxy_its_exceptions_are_left_alone() -> None:
    assert not {"NO_PROXY", "no_proxy"} & set(client_variables(ADDRESS, {"NO_PROXY": "corp"}).set)


def test_a_proxy_is_told_to_leave_loopback_alone() -> None:
    variables = client_variables(ADDRESS, {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "corp, localhost"}).set
    assert variables["NO_PROXY"] == variables["no_proxy"] == "corp,localhost,127.0.0.1"
