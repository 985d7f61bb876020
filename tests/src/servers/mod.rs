//! Real servers for tests: each on a free port of the loopback address with a directory of its own, ended when dropped.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]

mod process;
mod proxy;
mod redis;
mod redis_cluster;
mod redis_sentinel;

pub use process::{Process, free_port};
pub use proxy::{Proxy, Weather};
pub use redis::{RedisServer, ask, eventually};
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinels;
