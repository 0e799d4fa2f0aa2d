"""Several ranks of one job."""

from collections.abc import Callable

from lazulite.model.run_plan import Distribution, Isolation

from .conftest import AgentRun

ARun = Callable[..., AgentRun]


def test_pytorch_ranks_meet(a_run: ARun, isolation: Isolation) -> None:
    script = (
        "import os, socket, time\n"
        "rank, address = int(os.environ['RANK']), (os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']))\n"
        "if rank == 0:\n"
        "    server = socket.create_server(address)\n"
        "    met = sorted(server.accept()[0].recv(9).decode() for _ in range(3))\n"
        "    print('met', *met)\n"
        "else:\n"
        "    while True:\n"
        "        try:\n"
        "            socket.create_connection(address).send(str(rank).encode()); break\n"
        "        except OSError: time.sleep(0.02)\n"
        "    print('rank', rank, 'of', os.environ['WORLD_SIZE'])\n"
    )
    asked = Distribution(type="PyTorch", nodes=2, processes_per_node=2)
    run = a_run(f"python - <<'END'\n{script}END", distribution=asked, isolation=isolation).start()
    assert run.wait()["outcome"] == "completed", run.status()
    assert run.log("user_logs/std_log_process_00.txt") == "met 1 2 3\n"
    assert run.log("user_logs/std_log_process_03.txt") == "rank 3 of 4\n"


def test_a_failing_rank_ends_the_others_and_is_the_one_blamed(a_run: ARun, isolation: Isolation) -> None:
    asked = Distribution(type="Mpi", nodes=1, processes_per_node=3)
    command = "if [ $OMPI_COMM_WORLD_RANK = 1 ]; then echo broken; exit 5; else sleep 60; fi"
    status = a_run(command, distribution=asked, isolation=isolation).start().wait(seconds=30)
    assert status["exit_code"] == 5
    assert "std_log_process_01.txt" in status["error"]["message"]
    assert "broken" in status["error"]["message"]


def test_parameter_servers_end_when_the_workers_have(a_run: ARun) -> None:
    asked = Distribution(type="TensorFlow", worker_count=2, parameter_server_count=1)
    command = 'case "$TF_CONFIG" in *\'"type": "ps"\'*) sleep 60;; *) echo worked;; esac'
    run = a_run(command, distribution=asked).start()
    assert run.wait(seconds=30)["outcome"] == "completed"
    assert run.log("user_logs/std_log_process_01.txt") == "worked\n"
