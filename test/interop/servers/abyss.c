/* XML-RPC server on xmlrpc-c's Abyss, as README.md says.
 *
 * usage: abyss OUT-FILE
 * build: gcc -o abyss abyss.c $(xmlrpc-c-config abyss-server --cflags --libs)
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xmlrpc-c/base.h>
#include <xmlrpc-c/server.h>
#include <xmlrpc-c/server_abyss.h>

static const char *out_file;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void die_on_fault(const xmlrpc_env *env)
{
    if (env->fault_occurred) {
        fprintf(stderr, "%s\n", env->fault_string);
        exit(1);
    }
}

/* The library keeps line ends as LF; an application chooses how it reads them. */
static void print_hex(FILE *out, xmlrpc_env *env, xmlrpc_value *string)
{
    size_t length;
    const char *text;

    xmlrpc_read_string_lp_crlf(env, string, &length, &text);
    if (env->fault_occurred)
        return;
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%02x", (unsigned char)text[i]);
    free((char *)text);
}

/* Abyss keeps the order in which the members came; all calls here have one. */
static void print_value(FILE *out, xmlrpc_env *env, xmlrpc_value *value)
{
    switch (xmlrpc_value_type(value)) {
    case XMLRPC_TYPE_STRING:
        fputs("s:", out);
        print_hex(out, env, value);
        break;
    case XMLRPC_TYPE_INT: {
        int number;
        xmlrpc_read_int(env, value, &number);
        fprintf(out, "i:%d", number);
        break;
    }
    case XMLRPC_TYPE_STRUCT: {
        int size = xmlrpc_struct_size(env, value);
        fputc('{', out);
        for (int i = 0; i < size; i++) {
            xmlrpc_value *name, *member;
            xmlrpc_struct_read_member(env, value, i, &name, &member);
            if (i > 0)
                fputc(',', out);
            print_hex(out, env, name);
            fputc('=', out);
            print_value(out, env, member);
            xmlrpc_DECREF(name);
            xmlrpc_DECREF(member);
        }
        fputc('}', out);
        break;
    }
    default:
        fprintf(out, "?:%d", xmlrpc_value_type(value));
    }
}

static xmlrpc_value *record(xmlrpc_env *env, xmlrpc_value *params, void *method, void *call_info)
{
    (void)call_info;
    FILE *out = fopen(out_file, "a");
    if (!out)
        die(out_file);

    fputs(method, out);
    int count = xmlrpc_array_size(env, params);
    for (int i = 0; i < count; i++) {
        xmlrpc_value *param;
        xmlrpc_array_read_item(env, params, i, &param);
        fputc(' ', out);
        print_value(out, env, param);
        xmlrpc_DECREF(param);
    }
    fputc('\n', out);
    if (fclose(out) != 0)
        die(out_file);
    return xmlrpc_int_new(env, 1);
}

static void add_method(xmlrpc_env *env, xmlrpc_registry *registry, char *name)
{
    struct xmlrpc_method_info3 info = {
        .methodName = name,
        .methodFunction = record,
        .serverInfo = name,
    };
    xmlrpc_registry_add_method3(env, registry, &info);
    die_on_fault(env);
}

/* Returns a socket that listens on a free port of 127.0.0.1. */
static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;

    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof *address) != 0 ||
        listen(fd, 16) != 0 || getsockname(fd, (struct sockaddr *)address, &length) != 0)
        die("listen on 127.0.0.1");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: abyss OUT-FILE\n");
        return 2;
    }
    out_file = argv[1];

    xmlrpc_env env;
    xmlrpc_env_init(&env);
    xmlrpc_registry *registry = xmlrpc_registry_new(&env);
    die_on_fault(&env);
    add_method(&env, registry, "block_ip");
    add_method(&env, registry, "other");

    struct sockaddr_in address;
    xmlrpc_server_abyss_parms parms = {
        .registryP = registry,
        .socket_bound = 1,
        .socket_handle = listen_on_loopback(&address),
    };
    printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    xmlrpc_server_abyss(&env, &parms, XMLRPC_APSIZE(socket_handle));
    die_on_fault(&env);
    return 0;
}
