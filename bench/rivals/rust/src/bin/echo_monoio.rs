//! TCP echo on monoio (io_uring), one thread. Argument: port.
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

fn main() {
    let port: u16 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(4096).build().unwrap();
    runtime.block_on(async move {
        let listener = monoio::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            monoio::spawn(async move {
                let mut bytes = vec![0u8; 2048];
                loop {
                    let (result, read) = stream.read(bytes).await;
                    bytes = read;
                    match result {
                        Ok(0) | Err(_) => break,
                        Ok(n) => {
                            bytes.truncate(n);
                            let (result, written) = stream.write_all(bytes).await;
                            bytes = written;
                            if result.is_err() { break; }
                            bytes.resize(2048, 0);
                        }
                    }
                }
            });
        }
    });
}
