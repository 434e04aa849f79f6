/*
 * A disk that fails when it is told to, and a power cut: preloaded into the server by disk_test.ts (LD_PRELOAD).
 *
 * DISK_PATTERN   files whose path holds this are watched
 * DISK_CONTROL   a file of lines "CALL PATH ERRNO TIMES MS": each of the next TIMES calls (fsync, write) on a file whose
 *                path ends so waits MS milliseconds and then fails with ERRNO, or does what it should where that is 0
 * DISK_UNDO      what takes back every write that no flush has covered, in the order of the writes:
 *                W path: the bytes that were there, at an offset, and the size before    S path: was flushed
 *                L path: a flush failed, so what was written is on no disk               C path: was created
 *                Each is a header (struct entry), the path, then the old bytes.
 *
 * fsync and fdatasync are one call here, as are write, pwrite and ftruncate.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct entry { char kind; char zero[3]; int32_t path; int64_t offset, size, length, written; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int undo = -1;
#define REAL(name, type) ((type) dlsym(RTLD_NEXT, name))

/* The path of an open file that is watched; 0 for any other. */
static int watched(int fd, char *path) {
  const char *pattern = getenv("DISK_PATTERN");
  char link[40];
  if (!pattern) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, 511);
  if (size <= 0) return 0;
  path[size] = 0;
  return strstr(path, pattern) != 0;
}

/* What is to happen to this call: an errno, or 0. */
static int fault(const char *call, const char *path) {
  static char before[4096];
  static int used[32];
  char text[4096], name[32], end[256];
  const char *control = getenv("DISK_CONTROL");
  int error = 0, times, ms, rule = 0, found = 0, fd = control ? syscall(SYS_openat, AT_FDCWD, control, O_RDONLY) : -1;
  if (fd < 0) return 0;
  ssize_t size = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  text[size > 0 ? size : 0] = 0;
  pthread_mutex_lock(&lock);
  if (strcmp(text, before)) { strcpy(before, text); memset(used, 0, sizeof used); }
  for (char *line = text; *line && rule < 32 && !found; rule++) {
    char *next = strchrnul(line, '\n');
    if (sscanf(line, "%31s %255s %d %d %d", name, end, &error, &times, &ms) == 5 && !strcmp(name, call)) {
      size_t have = strlen(path), want = strlen(end);
      if (have >= want && !strcmp(path + have - want, end) && used[rule] < times) found = ++used[rule];
    }
    line = *next ? next + 1 : next;
  }
  pthread_mutex_unlock(&lock);
  if (!found) return 0;
  struct timespec time = { ms / 1000, ms % 1000 * 1000000L };
  if (ms) nanosleep(&time, 0);
  return error;
}

/* To be called with the lock held. */
static void note(char kind, const char *path, int64_t offset, int64_t size, const void *old, int64_t length, int64_t written) {
  const char *file = getenv("DISK_UNDO");
  if (!file) return;
  if (undo < 0) undo = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct entry entry = { kind, { 0 }, strlen(path), offset, size, length, written };
  char *all = malloc(sizeof entry + entry.path + length);
  memcpy(all, &entry, sizeof entry);
  memcpy(all + sizeof entry, path, entry.path);
  if (length) memcpy(all + sizeof entry + entry.path, old, length);
  syscall(SYS_write, undo, all, sizeof entry + entry.path + length);
  free(all);
}

/* Notes what stands where something will be written. */
static void before_write(int fd, const char *path, int64_t offset, int64_t count) {
  struct stat info;
  if (fstat(fd, &info) || !S_ISREG(info.st_mode)) return;
  int64_t length = offset >= info.st_size ? 0 : offset + count > info.st_size ? info.st_size - offset : count;
  char *old = length ? malloc(length) : 0, name[48];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  int reading = length ? syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
  if (length) { length = syscall(SYS_pread64, reading, old, length, offset); syscall(SYS_close, reading); }
  note('W', path, offset, info.st_size, old, length > 0 ? length : 0, count);
  free(old);
}

static ssize_t writing(int fd, const void *data, size_t count, int64_t at) {
  char path[512];
  if (!watched(fd, path)) return at < 0 ? syscall(SYS_write, fd, data, count) : syscall(SYS_pwrite64, fd, data, count, at);
  int error = fault("write", path);
  if (error) { errno = error; return -1; }
  struct stat info = { 0 };
  pthread_mutex_lock(&lock);
  if (at < 0) fstat(fd, &info);
  int isAppended = at < 0 && (fcntl(fd, F_GETFL) & O_APPEND);
  before_write(fd, path, at >= 0 ? at : isAppended ? info.st_size : lseek(fd, 0, SEEK_CUR), count);
  ssize_t done = at < 0 ? syscall(SYS_write, fd, data, count) : syscall(SYS_pwrite64, fd, data, count, at);
  pthread_mutex_unlock(&lock);
  return done;
}
ssize_t write(int fd, const void *data, size_t count) { return writing(fd, data, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { return writing(fd, data, count, at); }
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) { return writing(fd, data, count, at); }

static int truncating(int fd, int64_t size) {
  char path[512];
  struct stat info;
  if (!watched(fd, path)) return syscall(SYS_ftruncate, fd, size);
  int error = fault("write", path);
  if (error) { errno = error; return -1; }
  pthread_mutex_lock(&lock);
  if (!fstat(fd, &info)) before_write(fd, path, size, info.st_size > size ? info.st_size - size : 0);
  int done = syscall(SYS_ftruncate, fd, size);
  pthread_mutex_unlock(&lock);
  return done;
}
int ftruncate(int fd, off_t size) { return truncating(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncating(fd, size); }

static int flushing(int fd, long call) {
  char path[512];
  if (!watched(fd, path)) return syscall(call, fd);
  int error = fault("fsync", path);
  pthread_mutex_lock(&lock);
  int done = error ? -1 : syscall(call, fd);
  note(done ? 'L' : 'S', path, 0, 0, 0, 0, 0);
  pthread_mutex_unlock(&lock);
  if (error) errno = error;
  return done;
}
int fsync(int fd) { return flushing(fd, SYS_fsync); }
int fdatasync(int fd) { return flushing(fd, SYS_fdatasync); }

static int opening(const char *name, int flags, mode_t mode) {
  int isNew = (flags & O_CREAT) && access(name, F_OK);
  int fd = syscall(SYS_openat, AT_FDCWD, name, flags, mode);
  char path[512];
  if (fd >= 0 && isNew && watched(fd, path)) {
    pthread_mutex_lock(&lock);
    note('C', path, 0, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
  }
  return fd;
}
#define OPEN(name, extra) \
  int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    return opening(path, flags | extra, mode); \
  }
OPEN(open, 0)
OPEN(open64, O_LARGEFILE)
