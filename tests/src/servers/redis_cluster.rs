//! A Redis Cluster of three masters, each with one replica.

use std::time::{Duration, Instant};

use super::process::free_port;
use super::redis::{RedisServer, ask, eventually};

const MASTERS: usize = 3;
const SLOTS: usize = 16384;

/// Six servers. A master that does not respond for a second is replaced.
pub struct RedisCluster {
    /// The masters, followed by their replicas in the same order.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the cluster, and waits until all slots are served and every master has its replica.
    pub fn start(settings: &[&str]) -> Self {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..MASTERS * 2 {
            let bus = free_port().to_string();
            let own = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "1000",
                "--repl-diskless-sync-delay",
                "0",
            ];
            servers.push(RedisServer::start(&[&own, settings].concat()));
            buses.push(bus);
        }
        let cluster = Self { servers };
        cluster.meet(&buses);
        for (n, master) in cluster.servers[..MASTERS].iter().enumerate() {
            let (first, last) = (n * SLOTS / MASTERS, (n + 1) * SLOTS / MASTERS - 1);
            let range = ["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()];
            let () = master.ask(&range).expect("slots");
        }
        cluster.replicate();
        cluster.wait();
        cluster
    }

    fn meet(&self, buses: &[String]) {
        let first = &self.servers[0];
        for (server, bus) in self.servers.iter().zip(buses).skip(1) {
            let port = server.port.to_string();
            let () = first
                .ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])
                .expect("met");
        }
        eventually("all nodes know each other", || {
            self.servers.iter().all(|server| {
                let nodes: String = server.ask(&["CLUSTER", "NODES"]).unwrap_or_default();
                nodes.lines().count() == self.servers.len() && !nodes.contains("handshake")
            })
        });
    }

    fn replicate(&self) {
        let (masters, replicas) = self.servers.split_at(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id: String = master.ask(&["CLUSTER", "MYID"]).expect("an id");
            eventually("the replica takes its master", || {
                replica.ask::<()>(&["CLUSTER", "REPLICATE", &id]).is_ok()
            });
        }
    }

    fn wait(&self) {
        eventually("the Cluster is whole", || {
            self.servers.iter().all(|server| {
                let info: String = server.ask(&["CLUSTER", "INFO"]).unwrap_or_default();
                info.contains("cluster_state:ok")
            })
        });
        eventually("the replicas follow", || {
            self.servers[MASTERS..].iter().all(|replica| {
                let info: String = replica.ask(&["INFO", "replication"]).unwrap_or_default();
                info.contains("master_link_status:up")
            })
        });
    }

    /// `redis+cluster://` with three of the nodes.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.servers[MASTERS - 1..]
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Kills a master, waits until its replica has replaced it, and returns the time that this took.
    pub fn fail_over(&mut self, master: usize) -> Duration {
        self.servers[master].kill();
        let (killed, replica) = (Instant::now(), self.servers[MASTERS + master].port);
        eventually("the replica is master", || {
            let role: String = ask(replica, &["INFO", "replication"]).unwrap_or_default();
            role.contains("role:master")
        });
        killed.elapsed()
    }
}
