<?php
$mod_strings['LBL_CASEBRIDGE_MESSAGE_ID'] = 'Portal reply id';
