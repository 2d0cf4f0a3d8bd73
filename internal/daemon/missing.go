package daemon

import "strings"

// Why something of OpenSIPS is not here.
const (
	laterVersion = "evid does not have it yet"
	sipServer    = "evid is an event notifier, not a SIP server: run it beside OpenSIPS, which has it"
)

// outsideModules are modules of OpenSIPS that are not here, with the reason.
func outsideModules() map[string]string {
	outside := make(map[string]string)
	for name := range strings.FieldsSeq(`
		event_datagram event_stream event_virtual event_flatstore
		mi_fifo mi_datagram mi_xmlrpc mi_xmlrpc_ng`) {
		outside[name] = laterVersion
	}
	for name := range strings.FieldsSeq(`
		acc alias_db auth auth_db avpops b2b_entities b2b_logic call_center clusterer dialog dispatcher
		domain drouting event_kafka event_rabbitmq event_sqs fraud_detection load_balancer maxfwd
		mediaproxy nathelper options path permissions presence proto_ws proto_wss qrouting registrar
		rr rtpengine rtpproxy siptrace siprec topology_hiding uac uac_auth uac_registrant
		uri userblacklist usrloc db_mysql db_postgres db_sqlite db_text db_http rest_client json`) {
		outside[name] = sipServer
	}
	outside["event_routing"] = "it lets SIP requests wait for events, and evid has none; event_route[E_NAME] needs no module"
	return outside
}

// missingGlobals are globals of OpenSIPS that are not here, with the reason.
func missingGlobals() map[string]string {
	return map[string]string{"listen": "OpenSIPS has socket in its place since 3.0, and so does evid"}
}

// missing are functions and variables of OpenSIPS that are not here, with the reason.
func missing() map[string]string {
	reasons := make(map[string]string)
	for name := range strings.FieldsSeq(`
		sl_reply_error hep_set hep_get hep_relay
		forward send sethost sethostport setuser setport seturi prefix strip strip_tail serialize_branches
		append_branch force_rport add_local_rport setflag resetflag isflagset setbflag resetbflag isbflagset
		t_relay t_newtran t_reply t_on_reply t_on_failure t_on_branch t_check_status t_check_trans t_local_replied
		record_route loose_route save lookup registered mf_process_maxfwd_header route_to_carrier
		www_authorize proxy_authorize www_challenge proxy_challenge consume_credentials
		create_dialog match_dialog dlg_end_dlg ds_select_dst ds_select_domain lb_start load_balance do_routing
		rtpproxy_offer rtpproxy_answer rtpengine_offer rtpengine_answer rtpengine_delete fix_nated_contact nat_uac_test
		is_myself sql_query rest_get rest_post append_hf remove_hf subst_body acc_log_request
		notify_on_event wait_for_event
		$du $dd $dp $br $bR $rp $rs $rr $ai $au $ar $pr $Ri $Rp $oU $ou $DLG_status $dlg_val $T_reply_code $json $xml`) {
		reasons[name] = sipServer
	}
	reasons["$shv"] = "evid is one process: cache_store, cache_fetch and cache_add of module cachedb_local remember from run to run"
	for name := range strings.FieldsSeq("stat_iter_init stat_iter_next update_stat_series") {
		reasons[name] = "of module statistics evid has update_stat, reset_stat and $stat(name)"
	}
	return reasons
}
