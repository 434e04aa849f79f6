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
  UNIQUE KEY username_key (username_key)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
  UNIQUE KEY event_key (event_key)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE server_secrets (
  name VARCHAR(64) NOT NULL PRIMARY KEY,
  value VARBINARY(64) NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE schema_version (
  version INT NOT NULL PRIMARY KEY,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO schema_version (version) VALUES (1), (2);
