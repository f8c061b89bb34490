//! `cargo xtask relay`: the relay for scripts.

use std::io::BufRead;
use std::net::SocketAddr;

use crate::Result;
use crate::relay::Relay;

/// Says where it listens, reads from a line where the servers are, and relays until its input ends.
pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("relay takes no arguments, not {arg:?}").into());
    }
    let listener = Relay::listen()?;
    println!("{}", listener.local_addr()?);
    let mut lines = std::io::stdin().lock().lines();
    let servers = lines.next().ok_or("no line says where the servers are")??;
    let servers = servers.split_whitespace().map(str::parse);
    let servers = servers.collect::<std::result::Result<Vec<SocketAddr>, _>>()?;
    let relay = Relay::start(listener, servers)?;
    for line in lines {
        line?;
    }
    drop(relay);
    Ok(())
}
