//! How the bus proves who it is, and what it never tells.

use crate::bus_kit::{
    NatsServer, bus, classroom, connected, credentials, entered, eventually, options, positions, session_ids,
};
use presence::{
    adapters::bus_nats::{Auth, NatsBus, Options, Servers, Tls},
    ports::{Fault, bus::Bus},
};
use std::{path::Path, process::Command, sync::Once};

const PASSWORD: &str = "s3cr3t-of-the-test";

async fn works(bus: &NatsBus) {
    let room = classroom();
    let mut subscription = bus.subscribe(&room).await.unwrap();
    let position = bus.publish(&entered(&room, session_ids().next().unwrap())).await.unwrap();
    assert_eq!(positions(&mut subscription, 1).await, [position]);
}

/// What an operator reads when it does not work: every error in the chain, and what `Debug` shows.
async fn complaint(bus: &NatsBus, expected: &str) -> String {
    let complain = async || {
        let Err(fault @ Fault::Unavailable { .. }) = bus.publish(&entered(&classroom(), 1)).await else {
            panic!("this cannot be published")
        };
        let source = std::error::Error::source(&fault).unwrap();
        format!("{fault} {source} {fault:?} {bus:?}")
    };
    eventually("the reason is known", async || complain().await.contains(expected)).await;
    complain().await
}

fn with(server: &NatsServer, auth: Auth) -> Options {
    Options { auth, ..options(&server.url()) }
}

#[tokio::test]
async fn a_user_and_a_password_open_the_door() {
    let server =
        NatsServer::start_with(&format!("authorization {{ user: anna, password: {PASSWORD:?} }}\n")).await;
    let auth = |password: &str| Auth::UserPassword { user: "anna".into(), password: password.into() };
    works(&connected(with(&server, auth(PASSWORD))).await).await;
    let in_address = Servers(vec![format!("nats://anna:{PASSWORD}@127.0.0.1:{}", server.port)]);
    works(&connected(Options { servers: in_address, ..Options::default() }).await).await;

    let wrong = bus(with(&server, auth("wr0ng-of-the-test"))).await;
    let complaint = complaint(&wrong, "authorization violation").await;
    assert!(!complaint.contains("wr0ng"), "{complaint}");
    assert!(!wrong.is_up());
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let server = NatsServer::start_with(&format!("authorization {{ token: {PASSWORD:?} }}\n")).await;
    let bus = connected(with(&server, Auth::Token(PASSWORD.into()))).await;
    works(&bus).await;
    assert!(!format!("{bus:?}").contains(PASSWORD));
    let wrong = crate::bus_kit::bus(with(&server, Auth::Token("wr0ng-of-the-test".into()))).await;
    let complaint = complaint(&wrong, "authorization violation").await;
    assert!(!complaint.contains("wr0ng"), "{complaint}");
}

#[tokio::test]
async fn a_credentials_file_opens_the_door() {
    let (config, creds) = credentials();
    let server = NatsServer::start_with(&config).await;
    let path = server.dir.path().join("user.creds");
    std::fs::write(&path, creds).unwrap();
    works(&connected(with(&server, Auth::CredentialsFile(path.clone()))).await).await;

    let missing = Auth::CredentialsFile(server.dir.path().join("missing.creds"));
    let error =
        NatsBus::connect(with(&server, missing), crate::bus_kit::clock()).await.unwrap_err().to_string();
    assert!(error.contains("missing.creds") && error.contains("not found"), "{error}");
    std::fs::write(&path, format!("-----BEGIN NATS USER JWT-----\n{PASSWORD}\n")).unwrap();
    let error = NatsBus::connect(with(&server, Auth::CredentialsFile(path)), crate::bus_kit::clock()).await;
    assert!(!error.unwrap_err().to_string().contains(PASSWORD));
}

fn openssl(dir: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let done = command.current_dir(dir).args(arguments.split(' ')).output();
    let done = done.expect("the openssl command, which makes the test's own authority");
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A private authority, a certificate for 127.0.0.1, and one for a client.
fn authority(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"));
    for (name, extension) in
        [("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:presence")]
    {
        std::fs::write(dir.join("extension"), extension).unwrap();
        openssl(dir, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -extfile extension -out {name}.pem"
            ),
        );
    }
}

#[tokio::test]
async fn a_private_authority_and_a_client_certificate_are_honoured() {
    // As the program does at its start.
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
    let pki = tempfile::tempdir().unwrap();
    authority(pki.path());
    let file = |name: &str| pki.path().join(name);
    let config = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem"),
    );
    let server = NatsServer::start_with(&config).await;
    let client = Some((file("client.pem"), file("client.key")));
    let trusting = Tls { ca_file: Some(file("ca.pem")), client: client.clone() };
    let bus_with = async |tls: Tls| bus(Options { tls, ..options(&server.url()) }).await;
    works(&connected(Options { tls: trusting, ..options(&server.url()) }).await).await;

    complaint(&bus_with(Tls { ca_file: None, client }).await, "no connection").await;
    complaint(&bus_with(Tls { ca_file: Some(file("ca.pem")), client: None }).await, "not connected").await;
}
