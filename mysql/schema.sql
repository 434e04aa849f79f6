-- The tables of securechat for MySQL 5.7 or later, or MariaDB, as lib/migrations.ts makes them (a test compares the two).
--
--     mysql -u root -p < mysql/schema.sql
--
-- This is for a new database. Where the tables are there already it stops at the first of them and changes nothing: the
-- server brings older tables, the seed's too, up to date when it starts.

CREATE DATABASE IF NOT EXISTS securechat CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

USE securechat;

-- utf8mb4_bin: what is equal here is what is equal in SQLite.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE users (
  id INT AUTO_INCREMENT PRIMARY KEY,
  -- Trimmed, ASCII letters lower-cased.
  email VARCHAR(255) UNIQUE NOT NULL,
  -- As it was typed.
  username VARCHAR(255) UNIQUE NOT NULL,
  -- ASCII letters lower-cased; NULL for a name of old that differs from an older one in case alone.
  username_key VARCHAR(255),
  salt VARBINARY(16) NOT NULL,
  -- A slow, salted hash that says its parameters.
  pwd_hash VARCHAR(255) NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  -- The certificate that registered the account.
  registered_with BINARY(32),
  UNIQUE KEY username_key (username_key),
  KEY registered_with (registered_with)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sessions (
  id INT AUTO_INCREMENT PRIMARY KEY,
  user_id INT NOT NULL,
  -- SHA-256 of the token, hex; also the name of the session's journal.
  session_token VARCHAR(64) UNIQUE NOT NULL,
  client_cert_fingerprint VARCHAR(64) NOT NULL,
  server_cert_fingerprint VARCHAR(64) NOT NULL,
  transcript_hash VARCHAR(64),
  started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  ended_at TIMESTAMP NULL,
  message_count INT DEFAULT 0,
  FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  KEY ended_at (ended_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit_log (
  id INT AUTO_INCREMENT PRIMARY KEY,
  event_type VARCHAR(50) NOT NULL,
  email VARCHAR(255),
  client_cert_fingerprint VARCHAR(64),
  reason VARCHAR(255),
  occurred_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  ip_address VARCHAR(45),
  -- A row whose key is there already is not written again.
  event_key CHAR(32),
  -- The leaf that the row is in the tree over this log; NULL until a tick registers it.
  entry_index BIGINT,
  UNIQUE KEY event_key (event_key),
  UNIQUE KEY entry_index (entry_index)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE server_secrets (
  name VARCHAR(64) NOT NULL PRIMARY KEY,
  value VARBINARY(64) NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE rooms (
  id INT AUTO_INCREMENT PRIMARY KEY,
  -- Of a closed log: / and its id.
  name VARCHAR(131) UNIQUE NOT NULL,
  -- <server name>/<room>/<32 hex digits>
  origin VARCHAR(430) UNIQUE NOT NULL,
  -- all, since_join
  history VARCHAR(16) NOT NULL,
  invite_only TINYINT NOT NULL,
  -- Unix milliseconds.
  created_at BIGINT NOT NULL,
  -- Who made it, ASCII letters lower-cased: until its first line stands, an invite-only room is nobody else's.
  maker VARCHAR(255),
  -- How many lines its log has.
  size BIGINT NOT NULL,
  -- Since when the log is known not to be the one that it was, and since when it is closed: unix milliseconds.
  forked_at BIGINT,
  closed_at BIGINT,
  KEY closed_at (closed_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE room_lines (
  room_id INT NOT NULL,
  line_index BIGINT NOT NULL,
  -- The fingerprint of the author's certificate.
  author BINARY(32) NOT NULL,
  seqno BIGINT NOT NULL,
  ts BIGINT NOT NULL,
  epoch INT NOT NULL,
  seen_size BIGINT NOT NULL,
  -- Whether it may change who is in the room and what each may do.
  is_act TINYINT NOT NULL,
  -- The transcript's line, without LF.
  line VARCHAR(4000) NOT NULL,
  -- iv || ciphertext; as many zeros once it was erased.
  body BLOB NOT NULL,
  is_erased TINYINT NOT NULL,
  accepted_at BIGINT NOT NULL,
  PRIMARY KEY (room_id, line_index),
  UNIQUE KEY author_seqno (room_id, author, seqno),
  KEY acts (room_id, is_act, line_index),
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The perfect subtrees of each log, the leaves (level 0) too.
CREATE TABLE room_nodes (
  room_id INT NOT NULL,
  level TINYINT NOT NULL,
  node_index BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (room_id, level, node_index),
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE room_checkpoints (
  room_id INT NOT NULL,
  size BIGINT NOT NULL,
  -- Unix seconds.
  time BIGINT NOT NULL,
  root BINARY(32) NOT NULL,
  sig VARBINARY(2048) NOT NULL,
  signer BINARY(32) NOT NULL,
  PRIMARY KEY (room_id, size),
  KEY times (room_id, time, size),
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE room_epochs (
  room_id INT NOT NULL,
  epoch INT NOT NULL,
  -- Under the server's room_key file.
  wrapped_key VARBINARY(255) NOT NULL,
  PRIMARY KEY (room_id, epoch),
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE room_invitations (
  username_key VARCHAR(255) NOT NULL,
  room VARCHAR(131) NOT NULL,
  inviter VARCHAR(255) NOT NULL,
  PRIMARY KEY (username_key, room)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Which certificate is whose.
CREATE TABLE devices (
  fingerprint BINARY(32) NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  pem MEDIUMTEXT NOT NULL,
  bound_at BIGINT NOT NULL,
  -- Whether this server issued it: then it is this account's alone, in every session.
  is_issued TINYINT NOT NULL DEFAULT 0,
  FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The server's own, old ones too: they sign checkpoints.
CREATE TABLE server_certificates (
  fingerprint BINARY(32) NOT NULL PRIMARY KEY,
  pem MEDIUMTEXT NOT NULL
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE codes (
  -- SHA-256 of the secret.
  hash BINARY(32) NOT NULL PRIMARY KEY,
  username VARCHAR(255) NOT NULL,
  -- The one address that may register with it; NULL: any.
  email VARCHAR(255),
  -- invitation, device
  kind VARCHAR(16) NOT NULL,
  expires_at BIGINT NOT NULL,
  -- The certificate that was issued with it.
  issued_to BINARY(32),
  issued_pem MEDIUMTEXT,
  KEY issued_to (issued_to)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE session_tokens (
  -- SHA-256 of the token.
  hash BINARY(32) NOT NULL PRIMARY KEY,
  user_id INT NOT NULL,
  fingerprint BINARY(32) NOT NULL,
  expires_at BIGINT NOT NULL,
  KEY fingerprint (fingerprint),
  FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The server's log.
CREATE TABLE server_logs (
  id INT NOT NULL PRIMARY KEY,
  origin VARCHAR(255) UNIQUE NOT NULL,
  vkey VARCHAR(400) NOT NULL,
  charter MEDIUMTEXT NOT NULL,
  size BIGINT NOT NULL,
  root BINARY(32) NOT NULL,
  audit_size BIGINT NOT NULL
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_ticks (
  log_id INT NOT NULL,
  tick_index BIGINT NOT NULL,
  tick BLOB NOT NULL,
  tags BLOB NOT NULL,
  PRIMARY KEY (log_id, tick_index),
  FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_nodes (
  log_id INT NOT NULL,
  level TINYINT NOT NULL,
  node_index BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (log_id, level, node_index),
  FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_heads (
  log_id INT NOT NULL,
  tick_index BIGINT NOT NULL,
  place INT NOT NULL,
  room_id INT NOT NULL,
  size BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (log_id, tick_index, place),
  KEY log_head_rooms (log_id, room_id, tick_index),
  FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE,
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_notes (
  log_id INT NOT NULL,
  size BIGINT NOT NULL,
  note MEDIUMBLOB NOT NULL,
  hash BINARY(32) NOT NULL,
  closed_at BIGINT NOT NULL,
  named_in BIGINT,
  PRIMARY KEY (log_id, size),
  FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_tokens (
  hash BINARY(32) NOT NULL PRIMARY KEY,
  log_id INT NOT NULL,
  size BIGINT NOT NULL,
  token BLOB NOT NULL,
  stated_time BIGINT NOT NULL,
  named_in BIGINT,
  KEY token_names (log_id, named_in),
  FOREIGN KEY (log_id) REFERENCES server_logs(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE log_certificates (
  hash BINARY(32) NOT NULL PRIMARY KEY,
  pem MEDIUMTEXT NOT NULL
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit_nodes (
  level TINYINT NOT NULL,
  node_index BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (level, node_index)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE room_states (
  room_id INT NOT NULL PRIMARY KEY,
  line_index BIGINT NOT NULL,
  state MEDIUMBLOB NOT NULL,
  FOREIGN KEY (room_id) REFERENCES rooms(id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE schema_version (
  version INT NOT NULL PRIMARY KEY,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO schema_version (version) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10);
