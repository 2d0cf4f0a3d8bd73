<?php
// XML-RPC server on PHP's ext/xmlrpc and PHP's built-in web server, as README.md says.
//
// usage: php php.php OUT-FILE

// Started from the command line it becomes the web server, which runs this
// file for every request and prints its own URL.
if (PHP_SAPI === 'cli') {
    pcntl_exec(PHP_BINARY, ['-S', '127.0.0.1:0', __FILE__], ['OUT_FILE' => $argv[1]]);
    exit(1);
}

function show(mixed $value): string
{
    if (is_string($value)) {
        return 's:' . bin2hex($value);
    }
    if (is_int($value)) {
        return "i:$value";
    }
    if (!is_array($value)) {
        return '?:' . get_debug_type($value);
    }
    $members = [];
    foreach ($value as $name => $member) {
        $members[] = bin2hex($name) . '=' . show($member);
    }
    sort($members);
    return '{' . implode(',', $members) . '}';
}

function record(string $method, array $params): int
{
    $line = implode(' ', [$method, ...array_map('show', $params)]) . "\n";
    file_put_contents(getenv('OUT_FILE'), $line, FILE_APPEND);
    return 1;
}

$server = xmlrpc_server_create();
xmlrpc_server_register_method($server, 'block_ip', 'record');
xmlrpc_server_register_method($server, 'other', 'record');
header('Content-Type: text/xml');
echo xmlrpc_server_call_method($server, file_get_contents('php://input'), null, ['encoding' => 'UTF-8']);
