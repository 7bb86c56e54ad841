//! TCP echo on tokio, one thread. Argument: port.
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).unwrap();
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut bytes = [0u8; 2048];
            while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..n]).await.is_err() { break; }
            }
        });
    }
}
