/* Reads messages as llhttp does, for tests/differential/readers.py, which compiles it.
 *
 * In: a decimal length, a word and a newline, then so many bytes: what one connection carried, to its end. The word is
 * "?" for requests; for responses it has a letter for each request that they answer, H for HEAD. Out, for each: lines of a
 * letter and hexadecimal digits, the last of them ".":
 *   M method   U target   S status, in two bytes   N name of a field   V its value   n, v those of a trailer   B body
 *   E end of the message   X what was wrong
 */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int in_trailers;
static char asked[16];
static size_t answered;
static char text[1 << 20];
static size_t used;

static int keep(llhttp_t* parser, const char* at, size_t length) {
  (void)parser;
  if (used + length > sizeof text) return -1;
  memcpy(text + used, at, length);
  used += length;
  return 0;
}

static void show(char letter, const char* at, size_t length) {
  putchar(letter);
  for (size_t i = 0; i < length; ++i) printf("%02x", (unsigned char)at[i]);
  putchar('\n');
}

static int shown(char letter) {
  show(letter, text, used);
  used = 0;
  return 0;
}

static int on_begin(llhttp_t* parser) {
  (void)parser;
  in_trailers = 0;
  used = 0;
  return 0;
}
static int on_url_end(llhttp_t* parser) {
  const char* name = llhttp_method_name((llhttp_method_t)parser->method);
  show('M', name, strlen(name));
  return shown('U');
}
static int on_name_end(llhttp_t* parser) {
  (void)parser;
  return shown(in_trailers ? 'n' : 'N');
}
static int on_value_end(llhttp_t* parser) {
  (void)parser;
  return shown(in_trailers ? 'v' : 'V');
}
static int on_head_end(llhttp_t* parser) {
  in_trailers = 1;
  if (parser->type == HTTP_REQUEST) return 0;
  const char status[2] = {(char)(parser->status_code >> 8), (char)parser->status_code};
  show('S', status, sizeof status);
  if (parser->status_code < 200) return 0;
  const int head = answered < sizeof asked && asked[answered++] == 'H';
  return head || parser->status_code == 204 || parser->status_code == 304; /* 1: no body */
}
static int on_body(llhttp_t* parser, const char* at, size_t length) {
  (void)parser;
  show('B', at, length);
  return 0;
}
static int on_end(llhttp_t* parser) {
  (void)parser;
  puts("E");
  return 0;
}

int main(void) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_begin = on_begin;
  settings.on_url = keep;
  settings.on_url_complete = on_url_end;
  settings.on_header_field = keep;
  settings.on_header_field_complete = on_name_end;
  settings.on_header_value = keep;
  settings.on_header_value_complete = on_value_end;
  settings.on_headers_complete = on_head_end;
  settings.on_body = on_body;
  settings.on_message_complete = on_end;
  size_t length;
  while (scanf("%zu %15s", &length, asked) == 2) {
    if (getchar() != '\n') return 1;
    char* bytes = malloc(length + 1);
    if (fread(bytes, 1, length, stdin) != length) return 1;
    llhttp_t parser;
    answered = 0;
    llhttp_init(&parser, asked[0] == '?' ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    llhttp_errno_t error = llhttp_execute(&parser, bytes, length);
    if (error == HPE_OK) error = llhttp_finish(&parser);
    if (error != HPE_OK) {
      const char* name = llhttp_errno_name(error);
      show('X', name, strlen(name));
    }
    puts(".");
    fflush(stdout);
    free(bytes);
  }
  return 0;
}
