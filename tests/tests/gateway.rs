//! The example `examples/mcp-gateway`: two nodes behind nginx, tried with the official SDK of MCP.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use tessera_tests::program::{built, root};
use tessera_tests::servers::{Nginx, Process, RedisServer, eventually, free_port};

/// A client of MCP of 2025 is cut and continues at any node, its session ends everywhere, and a request of 2026 needs none.
#[test]
fn the_official_sdk_receives_each_message_once_from_any_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let redis = RedisServer::start(&[]);
    let address = || format!("127.0.0.1:{}", free_port());
    let addresses = [address(), address()];
    let nodes: Vec<Process> = addresses
        .iter()
        .enumerate()
        .map(|(number, address)| {
            let mut command = Command::new(built("mcp-gateway", "tessera-mcp-gateway"));
            command
                .args([address, &redis.url()])
                .env("MCP_GATEWAY_SECRET", "0".repeat(64));
            Process::spawn(&mut command, directory.path().join(format!("node-{number}.log")))
        })
        .collect();
    for address in &addresses {
        eventually("a node listens", || TcpStream::connect(address).is_ok());
    }
    let example = root().join("examples/mcp-gateway");
    let proxy = address();
    let mut lines = fs::read_to_string(example.join("nginx.conf")).expect("the example");
    for (given, actual) in [
        ("127.0.0.1:3001", &addresses[0]),
        ("127.0.0.1:3002", &addresses[1]),
        ("127.0.0.1:3000", &proxy),
    ] {
        assert_eq!(lines.matches(given).count(), 1, "{given}");
        lines = lines.replace(given, actual);
    }
    let _nginx = Nginx::start(directory.path(), &lines, &proxy);
    let tried = Command::new("node")
        .current_dir(example.join("client"))
        .arg("try.mjs")
        .arg(format!("http://{proxy}/mcp"))
        .output()
        .expect("node is installed");
    let logs: String = nodes.iter().map(Process::log).collect();
    let printed = String::from_utf8_lossy(&tried.stdout);
    let error = String::from_utf8_lossy(&tried.stderr);
    assert_eq!(
        printed.trim(),
        "everything arrived once, in order",
        "{error}{logs}"
    );
}
