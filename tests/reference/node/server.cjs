// The npm yardstick of `cargo xtask bench -- apps-…`: `socket.io` with its Redis adapter, and for `connect` and `join_lesson`
// what a classroom's backend does with PostgreSQL and Redis: the keys and reads of section 5 of docs/PROTOCOL.md, one command
// after the other where one needs the other's answer, else together. It believes every token, knows no sessions and cleans
// nothing up. Settings: REFERENCE_REDIS_URL, REFERENCE_POSTGRES_URL. It says `listening PORT` once it does.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Pool } = require("pg");

const SEATS = Object.fromEntries(Array.from({ length: 50 }, (_, seat) => [String(seat + 1), ""]));
const DAY = 24 * 60 * 60;

const LESSON = { name: "lesson", text: "SELECT org_id, room_id FROM lesson WHERE id = $1" };
const SEAT = { name: "seat", text: "SELECT seat FROM student_attend WHERE lesson_id = $1 AND student_id = $2" };

/** Who a token says that its bearer is. */
function subject(token) {
  const [, payload] = token.split(".");
  return JSON.parse(Buffer.from(payload, "base64url")).sub;
}

async function connected(redis, socket) {
  const { role, org_id } = socket.handshake.query;
  const user = socket.data.user;
  const fields = { sid: socket.id, client_id: user, role, org_id };
  if (role === "teacher") {
    const login_time = String(Math.floor(Date.now() / 1000));
    await redis.hSet(`alive:org_${org_id}_user_${user}`, { login_time, state: "connect" });
  }
  await redis.hSet(user, fields);
}

async function joinLesson({ redis, db }, socket, { user_id, lesson_id, role }) {
  const lesson = await db.query({ ...LESSON, values: [lesson_id] });
  if (lesson.rows[0]?.org_id !== socket.handshake.query.org_id) {
    return { status: "ERROR", data: { code: "lesson_not_found", message: "there is no such lesson" } };
  }
  await socket.join(lesson_id);
  const attends = await db.query({ ...SEAT, values: [lesson_id, user_id] });
  socket.data.seat = attends.rows[0]?.seat ?? undefined;
  const seats = `lesson_seat_${lesson_id}`;
  if (!(await redis.exists(seats))) {
    await redis.hSet(seats, SEATS);
  }
  const members = role === "teacher" ? `lesson_teacher_${lesson_id}` : `lesson_student_${lesson_id}`;
  await Promise.all([
    redis.hSet(members, { [user_id]: socket.id }),
    redis.expire(members, DAY),
    redis.hSet(user_id, { lesson_id }),
  ]);
  return { status: "SUCCESS", data: { lesson_id, room_id: lesson.rows[0].room_id, seat: socket.data.seat } };
}

async function main() {
  const redis = createClient({ url: process.env.REFERENCE_REDIS_URL });
  const [publishes, subscribes] = [redis.duplicate(), redis.duplicate()];
  await Promise.all([redis.connect(), publishes.connect(), subscribes.connect()]);
  const db = new Pool({ connectionString: process.env.REFERENCE_POSTGRES_URL, max: 10 });
  const http = createServer();
  const io = new Server(http, { serveClient: false, adapter: createAdapter(publishes, subscribes) });

  io.use(async (socket, next) => {
    try {
      socket.data.user = subject(socket.handshake.auth.token ?? socket.handshake.query.auth);
      await connected(redis, socket);
      next();
    } catch (error) {
      next(error);
    }
  });
  io.on("connection", (socket) => {
    socket.on("join_lesson", async (request, acknowledge) => {
      try {
        acknowledge(await joinLesson({ redis, db }, socket, request));
      } catch (error) {
        acknowledge({ status: "ERROR", data: { code: "unavailable", message: String(error) } });
      }
    });
    // Whoever asks has something told to a whole room.
    socket.on("say", (room, event) => io.to(room).emit("event", event));
  });

  http.listen(0, "127.0.0.1", () => console.log(`listening ${http.address().port}`));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
