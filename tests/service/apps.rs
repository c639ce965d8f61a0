//! A day of classroom apps that are not ours: every flow of every kind of client, with the libraries that browsers and
//! programs use, by each of their transports, on one replica and on three; and after every step what the classroom's
//! backend finds in Redis, key by key. The names of the keys are the backend's own.

mod day;

use day::{Day, Doors};
use presence_tests::{Library, Result, Stack, Way, scenarios};

scenarios! {
    both: npm_by_default_on_one_replica;
    full:
        npm_by_polling_on_one_replica,
        npm_by_websocket_on_one_replica,
        python_by_default_on_one_replica,
        python_by_polling_on_one_replica,
        python_by_websocket_on_one_replica,
        npm_by_default_on_three_replicas,
        npm_by_polling_on_three_replicas,
        npm_by_websocket_on_three_replicas,
        python_by_default_on_three_replicas,
        python_by_polling_on_three_replicas,
        python_by_websocket_on_three_replicas;
}

async fn npm_by_default_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Node, Way::Upgrade).await
}

async fn npm_by_polling_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Node, Way::Polling).await
}

async fn npm_by_websocket_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Node, Way::WebSocket).await
}

async fn python_by_default_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Python, Way::Upgrade).await
}

async fn python_by_polling_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Python, Way::Polling).await
}

async fn python_by_websocket_on_one_replica(stack: &mut Stack) -> Result<()> {
    on_one(stack, Library::Python, Way::WebSocket).await
}

async fn npm_by_default_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Node, Way::Upgrade).await
}

async fn npm_by_polling_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Node, Way::Polling).await
}

async fn npm_by_websocket_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Node, Way::WebSocket).await
}

async fn python_by_default_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Python, Way::Upgrade).await
}

async fn python_by_polling_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Python, Way::Polling).await
}

async fn python_by_websocket_on_three_replicas(stack: &mut Stack) -> Result<()> {
    on_three(stack, Library::Python, Way::WebSocket).await
}

async fn on_one(stack: &mut Stack, library: Library, way: Way) -> Result<()> {
    let keys = stack.use_redis_alone().await?;
    let server = stack.start().await?;
    Day::begin(stack, keys, Doors::one(server), library, way).await?.pass().await
}

async fn on_three(stack: &mut Stack, library: Library, way: Way) -> Result<()> {
    let keys = stack.use_redis_alone().await?;
    let mut servers = vec![];
    for label in ["first", "second", "third"] {
        stack.set("replica.label", label);
        servers.push(stack.start().await?);
    }
    Day::begin(stack, keys, Doors::behind_a_balancer(servers).await?, library, way).await?.pass().await
}
