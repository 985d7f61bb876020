//! A gateway for the Model Context Protocol (MCP) by streamable HTTP, on any number of nodes without affinity.
//!
//! `mcp-gateway ADDRESS REDIS-URL`, with the secret in `MCP_GATEWAY_SECRET`: `README.md` has the commands.

mod gateway;
mod message;
mod stream;
mod tools;

use gateway::Gateway;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, redis] = &arguments[..] else {
        return Err("usage: mcp-gateway ADDRESS REDIS-URL".into());
    };
    let secret = std::env::var("MCP_GATEWAY_SECRET")?;
    let gateway = Gateway::open(redis, &secret).await?;
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, gateway.router()).await?;
    Ok(())
}
